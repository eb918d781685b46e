"""What operators rely on: backups and their restoration, retention, the sweep of strays."""
