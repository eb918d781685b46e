"""Quality and speed of segmentation."""
