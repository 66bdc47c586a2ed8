"""The launchers of broken/, each with what it says of itself."""

import ast
import pathlib

DIRECTORY = pathlib.Path(__file__).resolve().parent / "broken"


class Broken:
    def __init__(self, path):
        self.path, self.name = path, path.stem
        values = {}
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in ("BREAKS", "RUNTIME"):
                values[node.targets[0].id] = ast.literal_eval(node.value)
        self.wrong = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0].rstrip(".")
        self.breaks = set(values["BREAKS"])
        self.runtime = values.get("RUNTIME", "replay-1.0.0")


def load():
    return [Broken(path) for path in sorted(DIRECTORY.glob("*.py"))]
