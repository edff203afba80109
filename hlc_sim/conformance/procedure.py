"""How a case that takes more than one disturbed session is written: a coroutine with a bench."""

from __future__ import annotations

from collections.abc import Callable

from iso15118.session.events import Role

from .model import Case, Group, Procedure


class Register:
    """Collects the procedures of one side; the decorated coroutine's docstring is title and sound behaviour:
    its first line says what is done, the rest what a sound device does.
    """

    def __init__(self, tests: Role) -> None:
        self.tests = tests
        self.cases: list[Case] = []

    def __call__(
        self,
        group: Group,
        message: str = "",
        *,
        requirements: tuple[str, ...] = (),
        needs: tuple[str, ...] = (),
        name: str = "",
    ) -> Callable[[Procedure], Procedure]:
        def register(procedure: Procedure) -> Procedure:
            title, _, sound = (procedure.__doc__ or "").partition("\n")
            given = name or procedure.__name__.replace("_", "-")
            self.cases.append(
                Case(
                    id=f"{self.tests.value}.{group.value}.{given}",
                    title=title.rstrip("."),
                    tests=self.tests,
                    group=group,
                    message=message,
                    sound=" ".join(sound.split()),
                    play=procedure,
                    requirements=requirements,
                    needs=needs,
                )
            )
            return procedure

        return register
