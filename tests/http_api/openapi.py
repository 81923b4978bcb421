"""`make openapi`: writes the OpenAPI document of the API into the repository."""

import json
from pathlib import Path

FILE = Path(__file__).parent.parent.parent / "docs/api/openapi.json"


def text() -> str:
    """The document, one value a line."""
    from transfer.http_api.routes import document

    return json.dumps(document(), indent=1, ensure_ascii=False, default=str) + "\n"


if __name__ == "__main__":
    import django

    django.setup()
    FILE.write_text(text())
