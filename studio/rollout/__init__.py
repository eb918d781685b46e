"""Rollouts: the next embedder, segmenter or try-on model beside the one in service."""
