"""Values of records: JSON, or Avro in Confluent wire format. What they are is published in schemas/ and in the registry."""

import base64
import io
import json
import urllib.parse
import urllib.request

MAGIC = 0
PREFIX_BYTES = 5


class Values:
    """Decodes values. `registry` is the URL of a schema registry; without it only JSON can be read."""

    def __init__(self, registry=None):
        self.registry = registry
        self.schemas = {}

    def decode(self, value):
        """The fields of a value: a topic may hold both encodings. Absent fields of Avro are None."""
        if value[0] != MAGIC:
            return json.loads(value)
        import fastavro

        schema = self._schema(int.from_bytes(value[1:PREFIX_BYTES], "big"))
        return fastavro.schemaless_reader(io.BytesIO(value[PREFIX_BYTES:]), schema, None)

    def _schema(self, schema_id):
        if schema_id not in self.schemas:
            import fastavro

            if self.registry is None:
                raise SystemExit("The records are Avro: give the URL of the schema registry (--registry).")
            answer = _get(f"{self.registry.rstrip('/')}/schemas/ids/{schema_id}")
            self.schemas[schema_id] = fastavro.parse_schema(json.loads(answer["schema"]))
        return self.schemas[schema_id]


def _get(url):
    parts = urllib.parse.urlsplit(url)
    request = urllib.request.Request(url)
    if parts.username:
        # urllib takes no user and password in a URL.
        host = parts.hostname + (f":{parts.port}" if parts.port else "")
        request = urllib.request.Request(parts._replace(netloc=host).geturl())
        user, password = urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or "")
        request.add_header("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)
