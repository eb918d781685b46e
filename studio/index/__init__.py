"""The search index: embeds pictures, builds versions, and applies changes to the active one."""
