"""Systems outside of the studio, one a file: blob stores, cache, guarded fetching."""
