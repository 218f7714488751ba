"""KServe's inference logger: a request and its response, which come apart, as predictions."""

from api.inference.inferences import Inferences, Taken
from api.inference.pairing import Half, is_inference

__all__ = ["Half", "Inferences", "Taken", "is_inference"]
