"""Virtual try-on in three plain steps: warp a garment onto a body, inpaint, repaint the rest."""
