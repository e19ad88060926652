"""The component: what is saved, what is reported, and how it fails."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from nightscan_tasks.components.keys import END_MARK, parse_commands
from nightscan_tasks.components.rdb import Replication, replicate
from nightscan_tasks.errors import DumpIncomplete, NightscanError, SourceRefused, SourceUnavailable

LIBRARY = "#!lua name=lib\nserver.register_function('f', function() return 1 end)"


def saver(server: Any, *, denied: str = "+@all -sync -psync -replconf") -> str:
    """A user who may do all but replicate; its URL."""
    server.run(("ACL", "SETUSER", "saver", "on", ">x", "~*", "&*", *denied.split()))
    return str(server.url(user="saver", password="x"))


def test_an_empty_redis_is_a_good_backup(server: Any) -> None:
    streams, report = server.dump()
    assert list(streams) == ["redis.rdb"]
    assert streams["redis.rdb"].startswith((b"REDIS00", b"VALKEY"))
    assert report.fingerprint["databases"] == {}
    assert report.fingerprint["exact"] is True
    assert report.fingerprint["server"]["name"] == server.name
    assert report.versions["redis"] == f"{server.name} {'.'.join(map(str, server.tool.version))}"
    assert report.facts["kind"] == "rdb"
    assert report.facts["rdb_version"] in (9, 80)
    assert report.facts["maxmemory_policy"] == "noeviction"
    assert report.facts["appendonly"] is False


@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_keys_are_counted_in_every_database(server: Any, diskless: str) -> None:
    server.run(("CONFIG", "SET", "repl-diskless-sync", diskless))
    server.run(("SET", "a", 1), ("SET", "b", 1, "EX", 1000))
    server.run(("SET", b"\x00\xff\r\n", os.urandom(3_000_000)), db=7)
    streams, report = server.dump()
    assert report.fingerprint["databases"] == {
        "0": {"keys": 2, "expires": 1}, "7": {"keys": 1, "expires": 0}}
    assert len(streams["redis.rdb"]) > 3_000_000
    assert server.component().predicted_bytes("redis") > 3_000_000


def test_no_replica_is_left_behind(server: Any) -> None:
    server.dump()
    with contextlib.closing(server.client()) as client:
        assert not [each for each in client.client_list() if "S" in each["flags"]]


@pytest.mark.parametrize("denied", ["+@all -sync -psync -replconf", "+@all -sync -psync"])
def test_where_replication_is_forbidden_keys_are_saved_one_by_one(server: Any, denied: str) -> None:
    server.run(("SET", b"\x00\xff\r\n$3", "v", "PXAT" if server.name == "valkey" else "PX", 4102444800000))
    server.run(("RPUSH", "l", *range(500)), db=3)
    streams, report = server.dump(REDIS_URL=saver(server, denied=denied))
    commands = list(parse_commands([streams["redis.resp"]]))
    assert [words[0] for words in commands] == [b"SELECT", b"RESTORE", b"SELECT", b"RESTORE"]
    assert commands[1][1] == b"\x00\xff\r\n$3"
    assert commands[3][2] == b"0"
    if server.name == "valkey":
        assert commands[1][2] == b"4102444800000"
    assert streams["redis.resp"].endswith(END_MARK + b"\r\n")
    assert "not as of one moment" in report.notes[0]
    assert report.facts["kind"] == "resp"


def test_it_finds_the_databases_where_info_is_forbidden_too(server: Any) -> None:
    server.run(("SET", "a", 1), db=2)
    url = saver(server, denied="+@all -sync -psync -info -config")
    streams, report = server.dump(REDIS_URL=url)
    assert report.fingerprint["databases"] == {"2": {"keys": 1, "expires": None}}
    assert b"RESTORE" in streams["redis.resp"]


def test_functions_are_counted_and_saved(valkey: Any) -> None:
    valkey.run(("FUNCTION", "LOAD", LIBRARY))
    assert valkey.dump()[1].fingerprint["functions"] == 1
    streams, _ = valkey.dump(REDIS_URL=saver(valkey))
    assert next(parse_commands([streams["redis.resp"]]))[:2] == [b"FUNCTION", b"RESTORE"]


def test_many_keys_of_any_size_pass_key_by_key(server: Any) -> None:
    with contextlib.closing(server.client()) as client:
        client.mset({f"small{number}": number for number in range(3000)})
        client.mset({f"large{number}": os.urandom(300_000) for number in range(40)})
    streams, _ = server.dump(REDIS_URL=saver(server))
    names = {words[1] for words in parse_commands(halves(streams["redis.resp"]))
             if words[0] == b"RESTORE"}
    assert len(names) == 3040


def halves(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 99_991):
        yield data[start:start + 99_991]


@pytest.mark.parametrize("cut", [1, 14, 1000])
def test_a_cut_off_file_of_keys_is_noticed(server: Any, cut: int) -> None:
    server.run(("SET", "a", "x" * 2000))
    streams, _ = server.dump(REDIS_URL=saver(server))
    with pytest.raises(DumpIncomplete):
        list(parse_commands([streams["redis.resp"][:-cut]]))


def test_a_socket_and_a_user_work(server: Any) -> None:
    server.run(("ACL", "SETUSER", "replica", "on", ">y", "+psync", "+replconf", "+ping", "+info"))
    streams, _ = server.dump(REDIS_URL=f"unix://replica:y@{server.folder}/socket?db=0")
    assert "redis.rdb" in streams


def test_a_wrong_password_is_refused_without_showing_any(server: Any) -> None:
    url = server.url(password="wrong-secret")
    with pytest.raises(SourceRefused, match=f"127.0.0.1:{server.port}.*REDIS_PASSWORD") as caught, \
            server.opened(REDIS_URL=url):
        pass
    assert "wrong-secret" not in str(caught.value)


def test_a_server_that_is_down_is_worth_another_try(valkey: Any) -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        port = nobody_listens.getsockname()[1]
        with pytest.raises(SourceUnavailable, match=f"127.0.0.1:{port}"), \
                valkey.opened(REDIS_URL=f"redis://:hidden@127.0.0.1:{port}/0"):
            pass


def test_an_error_of_the_reader_is_not_taken_for_one_of_redis(valkey: Any) -> None:
    with pytest.raises(OSError, match="disk full"), valkey.opened():
        raise OSError("disk full")


def test_a_server_that_dies_in_mid_stream_is_worth_another_try(mortal: Any) -> None:
    mortal.run(*(("SET", f"k{number}", os.urandom(1_000_000)) for number in range(30)))
    with mortal.opened() as dump:
        chunks = next(dump.streams()).chunks
        next(chunks)
        mortal.kill()
        with pytest.raises(SourceUnavailable, match=r"before the RDB was whole|reset"):
            list(chunks)


class Speaking:
    """A peer that answers a handshake with given bytes, then says no more."""

    def __init__(self, answer: bytes) -> None:
        self.near, self.far = socket.socketpair()
        self.near.settimeout(20)
        self._thread = threading.Thread(target=self._speak, args=(answer,))
        self._thread.start()

    def _speak(self, answer: bytes) -> None:
        with self.far:
            self.far.sendall(b"+OK\r\n-ERR unknown option\r\n+OK\r\n" + answer)
            self.far.shutdown(socket.SHUT_WR)
            while self.far.recv(1000):
                pass

    def read(self) -> bytes:
        replication = Replication(SecretStr("redis://somewhere:1"))
        try:
            replication.begin(self.near, reads_version="0.0.0")
            return b"".join(map(bytes, replication.chunks()))
        finally:
            self.near.close()
            self._thread.join()


WHOLE = b"REDIS0011" + b"\xfa\x01" * 5000 + b"\xff" + b"c" * 8
MARK = b"m" * 40


@pytest.mark.parametrize("answer", [
    b"+FULLRESYNC abc 0\r\n\n\n\n$%d\r\n%b" % (len(WHOLE), WHOLE),
    b"\n+FULLRESYNC abc 0\r\n$EOF:%b\r\n%b%b" % (MARK, WHOLE, MARK),
    b"\n\n$%d\r\n%b*1\r\n$4\r\nPING\r\n" % (len(WHOLE), WHOLE),
])
def test_every_form_of_transfer_is_understood_and_nothing_after_it_taken(answer: bytes) -> None:
    assert Speaking(answer).read() == WHOLE


@pytest.mark.parametrize(("answer", "error"), [
    (b"$%d\r\n%b" % (len(WHOLE), WHOLE[:-1]), SourceUnavailable),
    (b"$EOF:%b\r\n%b" % (MARK, WHOLE), SourceUnavailable),
    (b"$%d\r\n%b" % (len(WHOLE) - 5, WHOLE[:-5]), DumpIncomplete),
    (b"$EOF:%b\r\n%b%b" % (MARK, WHOLE[:-10], MARK), DumpIncomplete),
    (b"$9\r\nNOTANRDB!", DumpIncomplete), (b"$0\r\n", DumpIncomplete),
    (b"-LOADING Redis is loading the dataset in memory\r\n", SourceUnavailable),
    (b"-NOMASTERLINK Can't SYNC while not connected with my master\r\n", SourceUnavailable),
    (b"+FULLRESYNC abc 0\r\n", SourceUnavailable), (b"+CONTINUE\r\n+WHAT\r\n", SourceRefused),
])
def test_what_is_no_whole_rdb_is_an_error(answer: bytes, error: type[NightscanError]) -> None:
    with pytest.raises(error):
        Speaking(answer).read()


def test_leaving_in_mid_stream_lets_the_server_go(valkey: Any) -> None:
    valkey.run(*(("SET", f"k{number}", os.urandom(1_000_000)) for number in range(30)))
    with replicate(valkey.secret) as replication:
        next(replication.chunks())
    assert valkey.dump()[1].fingerprint["databases"] == {"0": {"keys": 30, "expires": 0}}


def test_equal_counts_prove_nothing_when_somebody_wrote(valkey: Any) -> None:
    valkey.run(("SET", "a", 1), ("SET", "b", 1))
    with valkey.opened() as dump:
        for stream in dump.streams():
            next(stream.chunks)  # the RDB is of now …
            valkey.run(("SET", "c", 1), ("DEL", "a"))  # … and the numbers are the same again
            for _ in stream.chunks:
                pass
        fingerprint = dump.report().fingerprint
    assert fingerprint["databases"] == {"0": {"keys": 2, "expires": 0}}
    assert fingerprint["exact"] is False


def test_counts_of_a_quiet_server_are_exact(valkey: Any) -> None:
    valkey.run(("SET", "a", 1))
    _, report = valkey.dump()
    assert report.fingerprint["exact"] is True
