"""What operators of the studio need beside its code."""
