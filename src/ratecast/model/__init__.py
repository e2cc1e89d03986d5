"""The model: backbone, pooling and head in torch, its exported graph, and the folder that holds it."""
