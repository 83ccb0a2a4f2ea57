"""The commands that match, and those that learn: functions whose arguments are the options."""
