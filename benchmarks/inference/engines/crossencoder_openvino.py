"""The CrossEncoder of sentence-transformers on its openvino backend."""

from peers.vision import declare_operators

declare_operators()  # of torchvision, which nncf brings

from engines.crossencoder import main  # noqa: E402 - after that

if __name__ == "__main__":
    main("openvino")
