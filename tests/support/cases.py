"""Runs the unittest cases of a script: says each name, and writes them for scripts/summarize-tests.

    if __name__ == "__main__":
        cases.main()
"""

import os
import pathlib
import sys
import time
import unittest
import xml.etree.ElementTree as xml


class Result(unittest.TextTestResult):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.root = xml.Element("testsuite")
        self.started = 0.0

    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()
        self.element = xml.SubElement(self.root, "testcase", classname=type(test).__name__, name=test._testMethodName)

    def stopTest(self, test):
        self.element.set("time", f"{time.monotonic() - self.started:.3f}")
        super().stopTest(test)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.note("failure", self.failures[-1][1])

    def addError(self, test, error):
        super().addError(test, error)
        self.note("error", self.errors[-1][1], test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note("skipped", reason, test)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self.note("failure", str(subtest))

    def note(self, kind, text, test=None):
        element = getattr(self, "element", None)
        if element is None or (test is not None and not hasattr(test, "_testMethodName")):  # setUpClass
            element = xml.SubElement(self.root, "testcase", classname=str(test), name="setUpClass")
        xml.SubElement(element, kind).text = "".join(c for c in text if c >= " " or c in "\n\t")


def main():
    script = pathlib.Path(sys.argv[0]).stem
    runner = unittest.TextTestRunner(sys.stdout, verbosity=2, resultclass=Result)
    result = runner.run(unittest.defaultTestLoader.loadTestsFromNames(sys.argv[1:], sys.modules["__main__"])
                        if sys.argv[1:] else unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))
    directory = os.environ.get("MALLARD_TEST_RESULTS")
    if directory:
        xml.ElementTree(result.root).write(pathlib.Path(directory) / f"{script}.xml", encoding="utf-8")
    sys.exit(0 if result.wasSuccessful() else 1)
