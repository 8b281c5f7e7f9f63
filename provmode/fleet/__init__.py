"""Runs over many hosts: loading inventories, the audit. Knows pyinfra; knows no bytes and no ConfigMgr rule."""
