"""A terminal that writes until it is killed, and says what was saved: `python -m tests.assistant.history.writer FOLDER KEY`.

Each line is a message's id, its state and how long its text is, printed once the call that saved it has returned.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

from assistant.history.conversation import Message
from assistant.history.store import History
from tests.assistant.history.conftest import answer, question

PAUSE_S = 0.002  # as other terminals may write too, which wait for a gap


def say(message: Message) -> None:
    sys.stdout.write(f"{message.id} {message.state} {len(message.text)}\n")
    sys.stdout.flush()
    time.sleep(PAUSE_S)


def main(folder: str, key: str) -> None:
    history = History.open(Path(folder), bytes.fromhex(key))
    while True:
        begun = history.start("A conversation")
        last: Message | None = None
        for _ in range(4):
            asked = question("How is a sprained ankle treated?", last)
            history.add(begun.id, asked)
            say(asked)
            last = replace(answer("", asked), state="writing")
            history.add(begun.id, last)
            say(last)
            for _ in range(5):
                last = replace(last, text=last.text + "Rest, ice, compression, elevation. ")
                history.change(last)
                say(last)
            last = replace(last, state="complete")
            history.change(last)
            say(last)


if __name__ == "__main__":
    main(*sys.argv[1:])
