"""The index: embed pictures, build a version, follow it live."""
