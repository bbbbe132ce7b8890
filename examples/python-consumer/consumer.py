"""Follows the runs of a Millrace installation by reading `transitions`, and prints what became of them as JSON lines.

    python3 consumer.py --brokers localhost:9092 --until-end
    {"run_id": "01KH3G0000Q5R2V7N0B4T8X1ZD", "status": "Completed", "output": {"ok": true}}
"""

import argparse
import json

from runs import STATUS, Runs
from sources import of_file, of_topic
from values import Values


def main():
    options = argparse.ArgumentParser(description="Status and output of every run, from the records of transitions.")
    source = options.add_mutually_exclusive_group(required=True)
    source.add_argument("--brokers", help="addresses of Kafka brokers, with commas between them")
    source.add_argument("--file", help="a file of records instead, one a line")
    options.add_argument("--registry", help="URL of the schema registry, where the records are Avro")
    options.add_argument("--topic", default="millrace.transitions")
    options.add_argument("--until-end", action="store_true", help="stop at the end of the topic, and print one line a run")
    given = options.parse_args()

    follows = given.brokers is not None and not given.until_end
    records = of_file(given.file) if given.file else of_topic(given.brokers, given.topic, given.until_end)
    values = Values(given.registry)
    runs = Runs()
    try:
        for kind, value in records:
            if kind not in STATUS:
                continue
            changed = runs.take(values.decode(value))
            if follows and changed is not None:
                tell(changed)
    except KeyboardInterrupt:
        pass
    if not follows:
        for run_id in sorted(runs.rows):
            tell(runs.rows[run_id])


def tell(row):
    print(json.dumps(row, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
