globalThis.l4guidePlotly = globalThis.Plotly;
globalThis.dispatchEvent(new Event("l4guide-plotly"));
export default { render() {} };
