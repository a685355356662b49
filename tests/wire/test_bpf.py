"""The assembler: its language, jumps that don't reach, mistakes; and programs as the kernel and tcpdump write them."""

import shutil
import subprocess

import pytest

from exporter.wire.bpf import AssemblyError, Instruction, as_decimal, assemble, packed
from tests.wire.bpf_machine import run

# Documentation/networking/filter.rst: "IPv4 TCP packets", and what `bpf_asm -c` makes of it.
EXAMPLE = """
ldh [12]
jne: jeq #0x800, , drop
ldb [23]
jeq #6, , drop      ; jneq of the original
ret #0xffffffff
drop: ret #0
"""


class TestLanguage:
    def test_the_kernels_own_example(self):
        assert assemble(EXAMPLE) == (
            (0x28, 0, 0, 0x0000000C),
            (0x15, 0, 3, 0x00000800),
            (0x30, 0, 0, 0x00000017),
            (0x15, 0, 1, 0x00000006),
            (0x06, 0, 0, 0xFFFFFFFF),
            (0x06, 0, 0, 0000000000),
        )

    @pytest.mark.parametrize(
        ("line", "code", "k"),
        [
            ("ld [12]", 0x20, 12), ("ld [x + 12]", 0x40, 12), ("ld [x+0x0c]", 0x40, 12), ("ld #7", 0x00, 7),
            ("ld M[3]", 0x60, 3), ("ld len", 0x80, 0), ("ldx #7", 0x01, 7), ("ldx M[15]", 0x61, 15),
            ("ld #pkttype", 0x20, 0xFFFFF004), ("ld #proto", 0x20, 0xFFFFF000), ("st M[1]", 0x02, 1),
            ("stx M[1]", 0x03, 1), ("add #1", 0x04, 1), ("add x", 0x0C, 0), ("sub x", 0x1C, 0), ("or #1", 0x44, 1),
            ("and #0xf0", 0x54, 0xF0), ("lsh #2", 0x64, 2), ("rsh #2", 0x74, 2), ("mod #2", 0x94, 2),
            ("xor x", 0xAC, 0), ("tax", 0x07, 0), ("txa", 0x87, 0), ("ret a", 0x16, 0), ("ret #1", 0x06, 1),
        ],
    )  # fmt: skip
    def test_instructions(self, line, code, k):
        assert assemble(f"{line}\nret #0")[0] == (code, 0, 0, k)

    def test_jumps_go_to_labels_or_on(self):
        program = assemble("jset #1, one\njge #2, , two\nja three\none: ret #1\ntwo: ret #2\nthree: ret #3")
        assert program[:3] == ((0x45, 2, 0, 1), (0x35, 0, 2, 2), (0x05, 0, 0, 2))

    def test_labels_stand_alone_or_together(self):
        assert assemble("ja b\na:\nb: c: ret #1") == assemble("ja a\na: ret #1")

    @pytest.mark.parametrize(
        "text",
        [
            "", "; nothing", "jmp out", "ld", "ld [y + 1]", "ld 12", "ldx [12]", "ld M[16]", "st [1]", "ret", "ret 1",
            "and 1", "ja nowhere", "jeq #1, nowhere\nret #0", "a: ret #0\na: ret #1", "ret #0\nback: ja back",
            "ld #0x100000000\nret #0", "ja end\nend:", "ret #0\n" * 4_097,
        ],
    )  # fmt: skip
    def test_mistakes_are_named(self, text):
        with pytest.raises(AssemblyError):
            assemble(text)


class TestFarJumps:
    def chain(self, count: int) -> tuple[Instruction, ...]:
        """Accepts the bytes 0 to count - 1, and 250 with another answer, both far away."""
        tests = "".join(f"jeq #{number}, yes\n" for number in range(count))
        padding = "add #1\n" * 300
        return assemble(f"ldb [0]\n{tests}jeq #250, special, no\n{padding}no: ret #0\nspecial: ret #2\nyes: ret #1")

    @pytest.mark.parametrize("count", [1, 5, 200])
    def test_answers_are_as_if_they_reached(self, count):
        program = self.chain(count)
        for first in (0, count - 1, count, 249, 250, 251):
            expected = 1 if first < count else 2 if first == 250 else 0
            assert run(program, bytes([first])) == expected

    def test_each_jump_fits_its_byte(self):
        for instruction in self.chain(200):
            assert max(instruction.jt, instruction.jf) <= 255

    def test_both_ways_may_be_far(self):
        text = "ldb [0]\njgt #9, big, small\n" + "add #1\n" * 400 + "big: ret #1\nsmall: ret #2"
        program = assemble(text)
        assert (run(program, b"\x0a"), run(program, b"\x09")) == (1, 2)


class TestForms:
    def test_decimal_is_what_tcpdump_prints(self):
        tcpdump = shutil.which("tcpdump", path="/usr/bin:/usr/sbin")
        if tcpdump is None:
            pytest.skip("tcpdump is not installed (Debian package tcpdump)")
        printed = subprocess.run(
            [tcpdump, "-y", "EN10MB", "-ddd", "ether proto 0x0806"], capture_output=True, text=True
        )
        assert as_decimal(assemble("ldh [12]\njeq #0x806, , drop\nret #262144\ndrop: ret #0")) == printed.stdout

    def test_packed_is_an_array_of_sock_filter(self):
        array = packed((Instruction(0x28, 0, 0, 12), Instruction(6, 1, 2, 0xFFFFFFFF)))
        assert array[8:] == b"\x06\0\x01\x02\xff\xff\xff\xff"
