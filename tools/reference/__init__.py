"""The generated reference pages, one module per kind of page; `tools.export_docs` assembles them."""
