"""Virtual try-on in four steps: parse the person, warp the garment, inpaint, paste the result."""
