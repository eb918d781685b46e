"""The studio on Kubernetes with the KubeRay operator."""
