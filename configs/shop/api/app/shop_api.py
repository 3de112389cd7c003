"""The shop's catalogue over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

from flask import Flask, Response, abort, jsonify

CATALOGUE = Path(__file__).with_name("catalogue.json")


def create_app(catalogue: Path = CATALOGUE) -> Flask:
    """The application; a catalogue that can't be read fails here, at the start, and not at the first request."""
    app = Flask(__name__)
    products = {product["sku"]: product for product in json.loads(catalogue.read_text(encoding="utf-8"))}

    @app.get("/healthz")
    def health() -> Response:
        return jsonify(status="ok", products=len(products))

    @app.get("/products")
    def list_products() -> Response:
        return jsonify(sorted(products.values(), key=lambda product: product["title"]))

    @app.get("/products/<sku>")
    def show_product(sku: str) -> Response:
        if sku not in products:
            abort(404, description=f"no product {sku!r}")
        return jsonify(products[sku])

    return app
