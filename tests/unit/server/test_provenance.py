from tuner.server.provenance import cpu_provenance, device_provenance


def test_a_cpu_is_named_by_its_model_and_memory():
    found = cpu_provenance("processor\t: 0\nmodel name\t: Fast CPU @ 3 GHz\n", "MemTotal:       24689764 kB\n", 2)

    assert (found.device, found.device_memory_bytes, found.host_cpus) == ("Fast CPU @ 3 GHz", 24689764 * 1024, 2)


def test_what_the_machine_does_not_say_is_unknown():
    assert cpu_provenance("", "", None).device_memory_bytes is None


def test_a_cpu_engine_is_never_described_by_a_gpu():
    assert device_provenance(None, on_gpu=False).driver is None
