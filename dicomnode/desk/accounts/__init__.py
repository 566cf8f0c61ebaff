"""Who may come in: accounts, passwords, sessions of browsers, tokens of programs.

    accounts ..... add, roles, disable, enable, new password; the last administrator stays
    sign_in ...... a name and a password become a session, with the brakes against guessing
    vouched ...... a person whom an OIDC provider vouches for becomes a session
    sessions ..... whose secret a cookie holds; how sessions end
    tokens ....... the same for programs
    standing ..... whether an account still is what its sessions and tokens were made for

The secrets of browsers and programs are random (`secret`), passwords are Argon2id (`passwords`).
"""
