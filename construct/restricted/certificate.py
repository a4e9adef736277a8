"""stub"""


class _C:
    valid = True

    def require(self):
        pass


def certificate(model):
    return _C()
