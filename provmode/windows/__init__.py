"""How any Windows PC is asked, whether it has a ConfigMgr client or not."""
