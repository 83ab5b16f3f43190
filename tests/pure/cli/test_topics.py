"""The list of topics, and what counts as a difference."""

from __future__ import annotations

from worker.settings import Settings, load_settings
from worker.topics import Difference, Found, compare, every_topic, input_topics, ledger_topic, output_topics


def settings(**given: object) -> Settings:
    """Settings that leave no number to a cluster."""
    return load_settings(None, **({"partitions": 8, "replication_factor": 3} | given))


def as_declared(given: Settings) -> dict[str, Found]:
    """A broker that holds exactly what is declared, and Kafka's other configs besides."""
    return {
        topic.name: Found(topic.partitions, {**topic.configs, "segment.ms": "604800000"})
        for topic in every_topic(given)
    }


def test_every_topic_has_the_same_number_of_partitions() -> None:
    assert {topic.partitions for topic in every_topic(settings(partitions=12))} == {12}


def test_every_topic_is_listed_once() -> None:
    names = [topic.name for topic in every_topic(settings())]
    assert len(names) == len(set(names))
    assert {*input_topics(settings()), *output_topics(settings()).values(), ledger_topic(settings())} < set(names)
    assert {f"{name}.dlq" for name in input_topics(settings())} < set(names)


def test_names_follow_the_settings() -> None:
    given = settings(app_id="eu", topic_spend_updates="eu.spend")
    names = {topic.name for topic in every_topic(given)}
    assert {"eu-ledger", "eu.spend", "eu.spend.dlq"} < names


def test_plans_and_the_ledger_are_compacted_and_nothing_else_is() -> None:
    compacted = {t.name for t in every_topic(settings()) if t.configs["cleanup.policy"] == "compact"}
    ledgers = {"pacing-worker-ledger", "pacing-worker-account-ledger"}
    assert compacted == {"pacing.campaign_plans", "pacing.account_plans", *ledgers}


def test_one_copy_less_must_be_in_sync() -> None:
    for copies, in_sync in ((1, "1"), (2, "1"), (3, "2")):
        declared = every_topic(settings(replication_factor=copies))
        assert {topic.configs["min.insync.replicas"] for topic in declared} == {in_sync}


def test_a_broker_as_declared_differs_in_nothing() -> None:
    assert compare(every_topic(settings()), as_declared(settings())) == []


def test_what_differs_is_told_and_what_cannot_work_is_fatal() -> None:
    found = as_declared(settings())
    del found["pacing.tick_closed"]
    ledger = found["pacing-worker-ledger"]
    found["pacing-worker-ledger"] = Found(4, {**ledger.configs, "cleanup.policy": "delete", "segment.bytes": "1"})
    spend = found["pacing.spend_updates"]
    found["pacing.spend_updates"] = Found(8, {**spend.configs, "max.message.bytes": "9000000"})
    dead = found["pacing.spend_updates.dlq"]
    found["pacing.spend_updates.dlq"] = Found(8, {**dead.configs, "max.message.bytes": "1000"})
    assert compare(every_topic(settings()), found) == [
        Difference("pacing.spend_updates", "its max.message.bytes is 9000000, not 1048588"),
        Difference("pacing.tick_closed", "it does not exist", fatal=True),
        Difference("pacing.spend_updates.dlq", "its max.message.bytes is 1000, not 2097152", fatal=True),
        Difference("pacing-worker-ledger", "it has 4 partitions, not 8", fatal=True),
        Difference("pacing-worker-ledger", "its cleanup.policy is delete, not compact", fatal=True),
        Difference("pacing-worker-ledger", "its segment.bytes is 1, not 67108864"),
    ]


def test_topics_as_kafka_makes_them_by_itself_will_do() -> None:
    """Somebody who made inputs and outputs by hand, with the broker's defaults, is told so and served."""
    found = as_declared(settings())
    for name, topic in found.items():
        if not name.endswith("-ledger"):
            usual = {"cleanup.policy": "delete", "max.message.bytes": "1048588", "retention.ms": "604800000"}
            found[name] = Found(8, {**topic.configs, **usual})
    differences = compare(every_topic(settings()), found)
    assert differences
    assert not any(difference.fatal for difference in differences)
