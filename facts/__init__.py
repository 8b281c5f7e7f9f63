"""Facts: what can be read from a Windows PC and its ConfigMgr client. Facts never change a PC."""
