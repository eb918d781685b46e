"""Quality and speed of try-ons."""
