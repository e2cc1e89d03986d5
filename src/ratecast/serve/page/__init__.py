"""The page for people, at ``/`` of the service: rate reviews, see products, read what the model doubts, judge the model."""

from ratecast.serve.page.router import create_page
from ratecast.serve.page.served import Served

__all__ = ["create_page", "Served"]
