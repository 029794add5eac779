"""How tests are distributed over pytest-xdist's workers.

The tests of a file run in one worker, and all of the KIM driver's: what they share (fixtures of the
module, compiled extensions, the installed driver) is made once. What takes longest starts first.
"""

LONGEST = ("tests/test_debug_build.py", "tests/kim")


def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path = nodeid.partition("::")[0]
            return "tests/kim" if path.startswith("tests/kim/") else path

        def _assign_work_unit(self, node):
            for scope in reversed(LONGEST):
                if scope in self.workqueue:
                    self.workqueue.move_to_end(scope, last=False)
            super()._assign_work_unit(node)

    return Scheduling(config, log)
