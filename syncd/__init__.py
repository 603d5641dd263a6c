"""Keep Planfix contacts and mailing lists in step."""
