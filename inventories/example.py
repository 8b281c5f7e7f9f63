"""An inventory to copy: the PCs, the account and the policy.

    provmode audit inventories/example.py
    pyinfra inventories/example.py fact facts.client.ClientState

A list is a group; a tuple is a group with data for all its hosts. The password is not here: it comes from
``PROVMODE_PASSWORD``, or from ``winrm_password_file`` or ``winrm_password_keyring``.
"""

domain = {
    "winrm_user": "EXAMPLE\\svc-provmode",
    "winrm_password_env": "PROVMODE_PASSWORD",
}

# Policy: each key has a default; an unknown key is refused. See docs/verdicts.md.
provmode_policy = {
    "wait_for_self_healing": True,
    "grace_minutes": 60,
    "minimum_age_minutes": 240,
}

office = (
    ["@winrm/pc-0001.example.com", "@winrm/pc-0002.example.com"],
    {**domain, "provmode_policy": provmode_policy},
)

branch = (
    [
        "@winrm/pc-0101.example.com",
        ("@winrm/pc-0102.example.com", {"winrm_address": "192.0.2.102"}),  # not in DNS
    ],
    {
        **domain,
        "winrm_scheme": "https",
        # "winrm_ca": "/etc/provmode/ca.pem",   # the CA of the PCs' certificates, if the system does not trust it
        "winrm_connect_deadline": 10,  # a slow connection
        "provmode_policy": {**provmode_policy, "wait_for_self_healing": False},
    },
)
