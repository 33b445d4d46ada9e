"""The admin API: what operators see and may change; and the control process that answers it."""
