"""The OpenAPI document of this API."""
