// Collector for prometheus-node-exporter-ucode: what `dmevpn metrics` counts.
// Installed as /usr/share/ucode/node-exporter/lib/dmevpn.uc, where `fs`, `gauge` and `counter` are given.

const process = fs.popen("/usr/sbin/dmevpn metrics --json --timeout 2 2>/dev/null");
if (!process)
	return false;

const text = process.read("all");
process.close();

let answer;
try {
	answer = json(text);
} catch (e) {
	return false;
}

if (type(answer?.metrics) != "array")
	return false;

for (let metric in answer.metrics) {
	const say = metric.type == "counter"
		? counter(metric.name, metric.help)
		: gauge(metric.name, metric.help);

	for (let sample in metric.samples)
		say(sample.labels, sample.value);
}
