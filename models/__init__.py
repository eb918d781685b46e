"""Networks, vectors and pictures: PyTorch, numpy and FAISS; no Ray, no HTTP, no settings."""
