"""A TensorFlow server that accepts connections at one address only.

TensorFlow listens at all addresses of a machine, whichever is named, and its port has no password.
A packet filter on the listening socket, which every connection inherits, drops what is sent to any
other address.  Linux and IPv4 only.
"""

import contextlib
import ctypes
import os
import socket
import stat
import struct
from collections.abc import Iterator

SO_ATTACH_FILTER = 26  # Linux, asm-generic/socket.h
ALL_ADDRESSES = '0.0.0.0'
IP_HEADER = 0x100000000 - 0x100000  # SKF_NET_OFF: offsets from here are in the packet's IP header
# Operations of the classic Berkeley packet filter.
LOAD_BYTE = 0x30
LOAD_WORD = 0x20
AND = 0x54
JUMP_IF_EQUAL = 0x15
RETURN = 0x06
KEEP = 0xFFFFFFFF
DROP = 0


def listen_only_at(ip: str, port: int) -> None:
    """Filters this process's listening socket of a port.  OSError if there is none.

    ip: the address that stays open; 0.0.0.0 leaves all open.
    """
    if ip == ALL_ADDRESSES:
        return
    program = filter_program(ip)
    buffer = ctypes.create_string_buffer(program)
    option = struct.pack('HP', len(program) // 8, ctypes.addressof(buffer))
    is_found = False
    for one in listening_sockets(port):
        one.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, option)
        is_found = True
    if not is_found:
        raise OSError(0, 'its listening socket is not found')


def filter_program(ip: str) -> bytes:
    """The filter that keeps packets of IP version 4 to an address."""
    (wanted,) = struct.unpack('!I', socket.inet_aton(ip))
    lines = (  # operation, lines to skip if true, if false, operand
        (LOAD_BYTE, 0, 0, IP_HEADER),
        (AND, 0, 0, 0xF0),
        (JUMP_IF_EQUAL, 0, 3, 0x40),  # the first byte's upper half is the version
        (LOAD_WORD, 0, 0, IP_HEADER + 16),  # destination
        (JUMP_IF_EQUAL, 0, 1, wanted),
        (RETURN, 0, 0, KEEP),
        (RETURN, 0, 0, DROP),
    )
    return b''.join(struct.pack('HBBI', *line) for line in lines)


def listening_sockets(port: int) -> Iterator[socket.socket]:
    """This process's sockets that listen at a port, each a duplicate that lasts until the next."""
    for descriptor in map(int, os.listdir('/proc/self/fd')):
        with contextlib.suppress(OSError):  # closed since
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            with socket.socket(fileno=os.dup(descriptor)) as one:
                if is_listening(one, port):
                    yield one


def is_listening(one: socket.socket, port: int) -> bool:
    if one.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    is_server = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    return bool(is_server) and one.getsockname()[1] == port
