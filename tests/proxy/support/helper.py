"""A helper without a will of its own: what it reads goes to the test, and what the test says is done.

Frames to the test: kind, u32 length, content. `h` who we are, `i` bytes from standard input, `z` its end.
Frames from the test: `o` and `e` write to standard output and error, `c` closes descriptors, `d` becomes deaf to
SIGTERM, `x` exits with a code. When the test closes the connection, it exits with 0.
"""
import os
import select
import signal
import socket
import struct
import sys

desk = socket.socket(socket.AF_UNIX)
desk.connect(sys.argv[1])
watched = select.poll()
watched.register(desk, select.POLLIN)
watched.register(0, select.POLLIN)


def tell(kind, content=b''):
    desk.sendall(kind + struct.pack('<I', len(content)) + content)


def exact(count):
    content = bytearray(count)
    rest = memoryview(content)
    while rest:
        taken = desk.recv_into(rest)
        if not taken:
            os._exit(0)
        rest = rest[taken:]
    return bytes(content)


def write(descriptor, content):
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest):]


def close(descriptors):
    for descriptor in descriptors:
        if descriptor == 0:
            watched.unregister(0)
        os.close(descriptor)


def obey():
    kind, length = struct.unpack('<cI', exact(5))
    content = exact(length)
    if kind == b'o':
        write(1, content)
    elif kind == b'e':
        write(2, content)
    elif kind == b'c':
        close(content)
    elif kind == b'd':
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif kind == b'x':
        os._exit(content[0])


def listen():
    content = os.read(0, 65536)
    tell(b'i' if content else b'z', content)
    if not content:
        watched.unregister(0)


# The write to a pipe that nobody reads any more must fail, not kill: the test decides about the end.
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
tell(b'h', '\0'.join([str(os.getpid())] + sys.argv[2:]).encode())
while True:
    for descriptor, event in watched.poll():
        try:
            obey() if descriptor == desk.fileno() else listen()
        except BrokenPipeError:
            pass
        except ConnectionResetError:
            os._exit(0)
