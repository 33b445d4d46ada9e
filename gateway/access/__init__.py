"""Who may do what: tokens, scopes, quotas, and the guards that ask."""
