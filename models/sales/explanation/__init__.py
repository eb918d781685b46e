"""Why a picture has its score: occlusion, drawn as a heatmap."""
