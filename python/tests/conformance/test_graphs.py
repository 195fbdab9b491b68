"""Graphs of calls: `bind`, `execute`, inputs, outputs, and compiled ones."""

import pytest
from module_under_test import IS_RAY, ray, submodule

dag = submodule("dag")
InputNode, MultiOutputNode = dag.InputNode, dag.MultiOutputNode


@ray.remote
def double(x):
    return x * 2


@ray.remote
def add(x, y):
    return x + y


@ray.remote(num_cpus=0)
class Counter:
    def __init__(self, value=0):
        self.value = value

    def add(self, x):
        self.value += x
        return self.value

    def get(self):
        return self.value

    @ray.method(num_returns=2)
    def both(self, x):
        return x, x + 1

    def fail(self, x):
        raise ValueError("on purpose")


def test_a_graph_of_functions(shared):
    shared_node = double.bind(3)
    graph = add.bind(shared_node, add.bind(shared_node, 1))
    assert ray.get(graph.execute()) == 13


def test_a_node_is_executed_once_for_all_that_use_it(shared):
    counter = Counter.remote()
    once = counter.add.bind(1)
    assert ray.get(add.bind(once, add.bind(once, once)).execute()) == 3
    assert ray.get(counter.get.remote()) == 1


def test_an_input_and_its_parts(shared):
    with InputNode() as given:
        graph = add.bind(given[0], given.y)
    assert ray.get(graph.execute(3, y=4)) == 7
    with InputNode() as given:
        graph = double.bind(given)
    assert [ray.get(graph.execute(i)) for i in range(3)] == [0, 2, 4]
    with InputNode() as given:
        graph = add.bind(given["a"], given["b"])
    assert ray.get(graph.execute({"a": 1, "b": 2})) == 3


def test_several_outputs(shared):
    with InputNode() as given:
        graph = MultiOutputNode([double.bind(given), add.bind(given, 1)])
    assert ray.get(graph.execute(5)) == [10, 6]
    with pytest.raises(ValueError):
        MultiOutputNode(double.bind(1))


def test_an_actor_of_the_graph_is_made_by_each_execution(shared):
    counter = Counter.bind(10)
    counter.add.bind(2)
    counter.add.bind(4)
    graph = counter.get.bind()
    assert ray.get(graph.execute()) == 16
    assert ray.get(graph.execute()) == 16


def test_an_actor_that_exists_keeps_its_state(shared):
    counter = Counter.remote(0)
    with InputNode() as given:
        graph = counter.add.bind(given)
    assert [ray.get(graph.execute(i)) for i in (1, 2, 3)] == [1, 3, 6]


def test_several_results_of_one_call(shared):
    counter = Counter.remote()
    with InputNode() as given:
        first, second = counter.both.bind(given)
        graph = add.bind(first, second)
    assert ray.get(graph.execute(3)) == 7


def test_nodes_inside_of_structures_are_references_there(shared):
    @ray.remote
    def total(given):
        return sum(ray.get(given["refs"]))

    assert ray.get(total.bind({"refs": [double.bind(1), double.bind(2)]}).execute()) == 6


def test_options_and_arguments_of_a_node(shared):
    inner = double.bind(1)
    node = add.options(name="sum").bind(inner, 2)
    assert node.get_args() == (inner, 2)
    assert node.get_kwargs() == {}
    assert node.get_options()["name"] == "sum"


def test_what_a_node_refuses(shared):
    with pytest.raises(AttributeError):
        double.bind(1).remote()
    with pytest.raises(AttributeError):
        Counter.bind().bind()
    with pytest.raises(ValueError), InputNode() as given:
        Counter.bind(given)
    with InputNode() as one, InputNode() as other:
        graph = add.bind(one, other)
    with pytest.raises(AssertionError):
        graph.execute(1)


def test_an_error_fails_what_depends_on_it(shared):
    counter = Counter.remote()
    with InputNode() as given:
        graph = double.bind(counter.fail.bind(given))
    with pytest.raises(ValueError, match="on purpose"):
        ray.get(graph.execute(1))


@pytest.mark.skipif(IS_RAY, reason="Ray's compiled graphs need its own start of the network")
def test_a_compiled_graph(shared):
    first, second = Counter.remote(), Counter.remote()
    with InputNode() as given:
        graph = second.add.bind(first.add.bind(given)).experimental_compile()
    assert [ray.get(graph.execute(1)) for _ in range(3)] == [1, 3, 6]
    graph.teardown()
    with pytest.raises(ray.exceptions.RayChannelError):
        graph.execute(1)
    with InputNode() as given, pytest.raises(NotImplementedError):
        double.bind(given).experimental_compile()
