#!/usr/bin/python3
"""A websocket echo server, and a client that talks to it through a proxy; needs python3-websockets.

  websocket.py server PORT                  serves until it is ended
  websocket.py client WAY PROXY SERVER      WAY is connect (a tunnel) or upgrade (the request itself is upgraded);
                                            prints "ok" once every message came back as it was sent
"""
import asyncio
import socket
import sys

import websockets

LARGEST = 4 << 20       # bytes of one message
MESSAGES = 200


async def echo(connection, *_):
    async for message in connection:
        await connection.send(message)


async def serve(port):
    async with websockets.serve(echo, '127.0.0.1', port, max_size=LARGEST + 1):
        await asyncio.Future()


def address(text):
    host, port = text.rsplit(':', 1)
    return host, int(port)


def tunnel(stream, server):
    stream.sendall(f'CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n\r\n'.encode())
    head = b''
    while not head.endswith(b'\r\n\r\n'):
        byte = stream.recv(1)
        if not byte:
            raise SystemExit(f'closed after {head!r}')
        head += byte
    if b' 200 ' not in head.split(b'\r\n')[0]:
        raise SystemExit(f'refused: {head!r}')


async def talk(way, proxy, server):
    stream = socket.create_connection(address(proxy), 20)
    if way == 'connect':
        tunnel(stream, server)
    stream.setblocking(False)
    async with websockets.connect(f'ws://{server}/', sock=stream, max_size=LARGEST + 1) as connection:
        for number in range(MESSAGES):
            await same(connection, f'message {number} \u00e4\u2603')
        await same(connection, bytes(range(256)) * (LARGEST // 256))
        await (await connection.ping())
        sent = [f'{number}' * 1000 for number in range(MESSAGES)]
        await asyncio.gather(*(connection.send(text) for text in sent))
        if sorted([await connection.recv() for _ in sent]) != sorted(sent):
            raise SystemExit('messages that crossed came back changed')
    print('ok')


async def same(connection, message):
    await connection.send(message)
    if await connection.recv() != message:
        raise SystemExit(f'{message[:40]!r} came back changed')


if sys.argv[1] == 'server':
    asyncio.run(serve(int(sys.argv[2])))
else:
    asyncio.run(asyncio.wait_for(talk(*sys.argv[2:5]), 50))
