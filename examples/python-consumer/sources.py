"""Where records come from: a topic, or a file. Both give (record type, value) of every record that has both."""

import base64
import json
import sys
import time

TYPE_HEADER = "millrace-type"
METADATA_S = 30


def of_topic(brokers, topic, until_end):
    """All records of a topic from its beginning: up to its end as it is now, or for ever."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            # It belongs to no group of consumers: it reads everything, and commits nothing.
            "group.id": "millrace-example",
            "enable.auto.commit": False,
            "enable.partition.eof": False,
        }
    )
    try:
        known = consumer.list_topics(topic, METADATA_S).topics[topic]
        if known.error is not None:
            raise SystemExit(f"There is no topic {topic}: {known.error}")
        # Records before the start may be gone: then a partition's end can be reached without a record.
        ends = {number: consumer.get_watermark_offsets(TopicPartition(topic, number), METADATA_S) for number in known.partitions}
        left = {number for number, (first, end) in ends.items() if first < end}
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in known.partitions])
        while left or not until_end:
            message = consumer.poll(1.0)
            if message is None:
                # What stands behind the last record is no record: a compacted place, or the mark of a transaction.
                left -= {place.partition for place in consumer.position(_places(topic, left)) if place.offset >= ends[place.partition][1]}
                continue
            if message.error():
                if message.error().code() == KafkaError._ALL_BROKERS_DOWN:
                    print(message.error(), file=sys.stderr)
                    time.sleep(1)
                    continue
                raise SystemExit(str(message.error()))
            if until_end and message.offset() >= ends[message.partition()][1]:
                left.discard(message.partition())
                continue
            headers = {name: value.decode() for name, value in message.headers() or [] if value is not None}
            if message.value() is not None and TYPE_HEADER in headers:
                yield headers[TYPE_HEADER], message.value()
            if message.offset() + 1 >= ends[message.partition()][1]:
                left.discard(message.partition())
    finally:
        consumer.close()


def _places(topic, partitions):
    from confluent_kafka import TopicPartition

    return [TopicPartition(topic, number) for number in partitions]


def of_file(path):
    """Records from a file, one a line: {"headers": {...}, "value": "<base64>"}."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            if record["value"] is not None and TYPE_HEADER in record["headers"]:
                yield record["headers"][TYPE_HEADER], base64.b64decode(record["value"])
