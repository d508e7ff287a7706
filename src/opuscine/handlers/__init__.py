"""One resource a file; each lists its operations, from which the router and the OpenAPI document are made."""
