"""The wire contract keeps its own rules, and the generated modules are made of it as it stands."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import daftari.v1
import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path.name for path in (ROOT / "protos" / "daftari" / "v1").glob("*.proto"))
FLOATS = (FieldDescriptorProto.TYPE_FLOAT, FieldDescriptorProto.TYPE_DOUBLE)

# Numbers of the parts of a descriptor, which make up the paths of comments: descriptor.proto, SourceCodeInfo.Location.
MESSAGES, ENUMS, SERVICES, SYNTAX = 4, 5, 6, 12
FIELDS, NESTED_MESSAGES, NESTED_ENUMS, METHODS, ONEOFS = 2, 3, 4, 2, 8

EXCUSE = re.compile(r"[Ii]dempotent by its own content|Not repeatable by design")

CommentPath: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, repr=False)
class Contract:
    """The .proto files as protoc reads them, with their comments."""

    files: tuple[FileDescriptorProto, ...]

    @cached_property
    def messages(self) -> dict[str, DescriptorProto]:
        """By full name with a leading dot, as descriptors refer to them."""
        return {f".{file.package}.{name}": message for file in self.files for name, message, _ in walk_messages(file)}

    def methods(self) -> Iterator[tuple[str, MethodDescriptorProto]]:
        """Every RPC after its service's name."""
        for file in self.files:
            for service in file.service:
                for method in service.method:
                    yield service.name, method

    def enums(self) -> Iterator[EnumDescriptorProto]:
        """Every enum, nested ones too."""
        for file in self.files:
            yield from file.enum_type
        for message in self.messages.values():
            yield from message.enum_type

    def fields(self) -> Iterator[tuple[str, FieldDescriptorProto]]:
        """Every field after its place, such as "Money.currency"."""
        for name, message in self.messages.items():
            for field in message.field:
                yield f"{name.rpartition('.')[2]}.{field.name}", field


def walk_messages(file: FileDescriptorProto) -> Iterator[tuple[str, DescriptorProto, CommentPath]]:
    """Every message with its name within the package and its path; entries of maps are no messages of ours."""
    waiting: list[tuple[str, DescriptorProto, CommentPath]] = [
        (message.name, message, (MESSAGES, at)) for at, message in enumerate(file.message_type)
    ]
    while waiting:
        name, message, path = waiting.pop()
        yield name, message, path
        for at, nested in enumerate(message.nested_type):
            if not nested.options.map_entry:
                waiting.append((f"{name}.{nested.name}", nested, (*path, NESTED_MESSAGES, at)))


def comments(file: FileDescriptorProto) -> dict[CommentPath, str]:
    """The comment before each part of a file."""
    return {tuple(place.path): place.leading_comments.strip() for place in file.source_code_info.location}


def must_be_commented(file: FileDescriptorProto) -> Iterator[tuple[str, CommentPath]]:
    """Services, RPCs, fields, choices, enums, and messages that are no request or response."""
    for at, service in enumerate(file.service):
        yield service.name, (SERVICES, at)
        for number, method in enumerate(service.method):
            yield f"{service.name}.{method.name}", (SERVICES, at, METHODS, number)
    for at, enum in enumerate(file.enum_type):
        yield enum.name, (ENUMS, at)
    for name, message, path in walk_messages(file):
        if not name.endswith(("Request", "Response")):
            yield name, path
        for at, field in enumerate(message.field):
            yield f"{name}.{field.name}", (*path, FIELDS, at)
        for at, choice in enumerate(message.oneof_decl):
            # An optional field is a choice of its own, made by protoc.
            if not choice.name.startswith("_"):
                yield f"{name}.{choice.name}", (*path, ONEOFS, at)
        for at, enum in enumerate(message.enum_type):
            yield f"{name}.{enum.name}", (*path, NESTED_ENUMS, at)


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """The files under protos/ as they stand now."""
    target = tmp_path_factory.mktemp("protos") / "descriptors"
    names = [f"daftari/v1/{name}" for name in SOURCES]
    options = [f"--proto_path={ROOT / 'protos'}", f"--descriptor_set_out={target}", "--include_source_info"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *options, *names], check=True)
    files = FileDescriptorSet.FromString(target.read_bytes()).file
    return Contract(tuple(sorted(files, key=lambda file: file.name)))


def test_the_generated_modules_are_those_of_the_files(contract: Contract) -> None:
    modules = sorted(path.stem for path in Path(daftari.v1.__path__[0]).glob("*_pb2.py"))

    assert modules == [f"{Path(name).stem}_pb2" for name in SOURCES], "run `make clean setup`"
    for file, module in zip(contract.files, modules, strict=True):
        generated, fresh = FileDescriptorProto(), FileDescriptorProto()
        importlib.import_module(f"daftari.v1.{module}").DESCRIPTOR.CopyToProto(generated)
        fresh.CopyFrom(file)
        fresh.ClearField("source_code_info")
        assert bare(generated) == bare(fresh), f"{module} is not made of {file.name} as it stands: run `make protos`"


def bare(file: FileDescriptorProto) -> FileDescriptorProto:
    """Without the JSON names, which protoc writes out and the runtime leaves to be derived."""
    for _, message, _ in walk_messages(file):
        for each in (message, *message.nested_type):
            for field in each.field:
                field.ClearField("json_name")
    return file


def test_every_part_is_explained(contract: Contract) -> None:
    bare_parts = [
        f"{file.name}: {name}"
        for file in contract.files
        for name, path in must_be_commented(file)
        if not comments(file).get(path)
    ]

    assert bare_parts == []


def test_every_file_is_of_this_version_and_says_what_it_is_for(contract: Contract) -> None:
    for file in contract.files:
        assert (file.package, file.syntax) == ("daftari.v1", "proto3")
        assert comments(file).get((SYNTAX,)), f"{file.name} opens with no comment"


def test_services_either_change_or_read(contract: Contract) -> None:
    names = [name for name, _ in contract.methods()]

    assert [name for name in names if not name.endswith(("CommandService", "QueryService"))] == []


def test_every_rpc_has_a_request_and_a_response_of_its_own(contract: Contract) -> None:
    wrong = [
        method.name
        for _, method in contract.methods()
        if method.input_type != f".daftari.v1.{method.name}Request"
        or method.output_type != f".daftari.v1.{method.name}Response"
    ]

    assert wrong == []


def test_every_list_is_paged(contract: Contract) -> None:
    lists = [method for _, method in contract.methods() if method.name.startswith("List")]

    unpaged = [
        method.name
        for method in lists
        if not {"page_size", "page_token"} <= {field.name for field in contract.messages[method.input_type].field}
        or "next_page_token" not in {field.name for field in contract.messages[method.output_type].field}
    ]

    assert lists
    assert unpaged == []


def test_every_command_carries_a_request_id_or_says_why_it_needs_none(contract: Contract) -> None:
    commands = [one for service, one in contract.methods() if service.endswith("CommandService")]

    careless = {one.name for one in commands if not has_request_id(contract, contract.messages[one.input_type])}

    assert careless - set(excused(contract)) == set()


def excused(contract: Contract) -> Iterator[str]:
    """Commands that a file's opening, or their own comment, calls idempotent by their own content, and those whose
    comment says that they are not repeatable on purpose."""
    for file in contract.files:
        opening = " ".join(comments(file)[(SYNTAX,)].split())
        for sentence in re.findall(r"[^.]+ (?:is|are) idempotent by (?:its|their) own content", opening):
            yield from re.findall(r"[A-Z]\w+[A-Z]\w+", sentence)
        for name, path in must_be_commented(file):
            if EXCUSE.search(" ".join(comments(file).get(path, "").split())):
                yield name.rpartition(".")[2]


def has_request_id(contract: Contract, message: DescriptorProto) -> bool:
    """Whether it, or an item it holds, has the field."""
    held = (contract.messages.get(field.type_name) for field in message.field)
    return any(field.name == "request_id" for field in message.field) or any(
        has_request_id(contract, one) for one in held if one is not None
    )


def test_every_enum_begins_with_unspecified_and_names_its_values_after_itself(contract: Contract) -> None:
    for enum in contract.enums():
        prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", enum.name).upper()
        assert (enum.value[0].name, enum.value[0].number) == (f"{prefix}_UNSPECIFIED", 0)
        assert all(value.name.startswith(f"{prefix}_") for value in enum.value), enum.name


def test_no_number_is_a_float_and_money_in_minor_units_is_an_int64(contract: Contract) -> None:
    floats = [name for name, field in contract.fields() if field.type in FLOATS]
    amounts = {name: field.type for name, field in contract.fields() if field.name.endswith("minor_units")}

    assert floats == []
    assert set(amounts.values()) == {FieldDescriptorProto.TYPE_INT64}


def test_times_are_timestamps(contract: Contract) -> None:
    times = {name: field.type_name for name, field in contract.fields() if field.name.endswith("_time")}

    assert set(times.values()) == {".google.protobuf.Timestamp"}
