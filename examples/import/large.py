#!/usr/bin/env python3
"""Writes a large world in the form tolmach-world/1, to try an import before it counts.

    large.py USERS MESSAGES | tolmach import -

Each user is in a chat with the next one and in a group of a hundred; messages are of some 100
characters, half of them in chats.
"""

import sys

GROUP = 100
TEXT = "The quick brown fox jumps over the lazy dog, and the dog dreams of the fox. "


def main(users: int, messages: int) -> None:
    write = sys.stdout.write
    write('{"world":{"form":"tolmach-world/1","source":"large"}}\n')
    for user in range(1, users + 1):
        write(f'{{"user":{{"id":{user},"login":"user{user}","email":"user{user}@example.org"}}}}\n')
    chats, groups = users // 2, max(users // GROUP, 1)
    for flow in range(1, chats + 1):
        owner = 2 * flow - 1
        write(f'{{"flow":{{"id":{flow},"kind":"chat","owner":{owner},"pair":[{owner},{owner + 1}]}}}}\n')
    for group in range(groups):
        flow, owner = chats + 1 + group, group * GROUP + 1
        write(f'{{"flow":{{"id":{flow},"kind":"group","owner":{owner},"title":"Group {group}"}}}}\n')
    for message in range(1, messages + 1):
        user = message * 7_919 % users + 1
        if message % 2:
            flow = min((user + 1) // 2, chats)
            user = min(user, 2 * chats)
        else:
            flow = chats + 1 + min((user - 1) // GROUP, groups - 1)
        second, minute = message % 60, message // 60 % 60
        hour, day = message // 3_600 % 24, message // 86_400 % 28 + 1
        month, year = message // 2_419_200 % 12 + 1, 2_015 + message // 29_030_400
        time = f"{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        write(
            f'{{"message":{{"id":{message},"flow":{flow},"author":{user},'
            f'"text":"{TEXT}{message}","posted_at":"{time}"}}}}\n'
        )
    for user in range(1, 2 * chats + 1):
        write(f'{{"member":{{"flow":{(user + 1) // 2},"user":{user}}}}}\n')
    for user in range(1, users + 1):
        flow = chats + 1 + min((user - 1) // GROUP, groups - 1)
        write(f'{{"member":{{"flow":{flow},"user":{user}}}}}\n')


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(int(sys.argv[1]), int(sys.argv[2]))
