"""The CrossEncoder of sentence-transformers on its openvino backend."""

from engines.crossencoder import main

if __name__ == "__main__":
    main("openvino")
