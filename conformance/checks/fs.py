"""Names and files."""

from checks.base import check, parts, worked


def sources(argv):
    """Host directories that are mounted for the package and its data."""
    found = set()
    for index, word in enumerate(argv):
        if word in ("-v", "--volume"):
            found.add(argv[index + 1].split(":")[0])
        elif word in ("--bind", "--ro-bind") and argv[index + 2].startswith(("/data", "/opt/")):
            found.add(argv[index + 1])
    return found


@check("fs-keys-never-collide", "two_packages", on=("replay", "bwrap"),
       spoil=[lambda e: e.parts["@a/b-c"].seen.update(argv=e.parts["@a-b/c"].seen["argv"]),
              lambda e: e.parts["@a/b-c"].seen.update(argv=None)])
def _(e):
    wrong = parts(e, worked)
    lists = [part.seen["argv"] for part in e.parts.values()]
    if not all(lists):
        return wrong + ["no argument list was seen"]
    one, other = map(sources, lists)
    if one & other:
        wrong.append("both packages get %s" % sorted(one & other))
    if len(one) < 2 or len(other) < 2:
        wrong.append("no data directory is mounted: %s, %s" % (sorted(one), sorted(other)))
    return wrong
