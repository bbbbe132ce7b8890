// Functions with a key of their own, which they give to the server for a request.
export default function secrets(kit) {
  kit.fn('ask', { on: 'ask', retries: 2 }, async ({ event, step }) => {
    const apiKey = process.env.APP_SECRET;
    const { url } = event.data;
    const infer = (id, model) =>
      step.ai
        .infer(id, { model, body: { messages: [{ role: 'user', content: 'hi' }], contents: [] } })
        .catch((error) => error.message);
    const openai = await infer('openai', step.ai.models.openai({ model: 'm', apiKey, baseUrl: `${url}/` }));
    const anthropic = await infer(
      'anthropic',
      step.ai.models.anthropic({ model: 'm', apiKey, baseUrl: `${url}/`, defaultParameters: { max_tokens: 8 } }),
    );
    const gemini = await infer('gemini', step.ai.models.gemini({ model: 'm', apiKey, baseUrl: `${url}/` }));
    const fetched = await step.fetch(url, { method: 'POST', headers: { authorization: `Bearer ${apiKey}` } });
    await Promise.all([
      infer('side', step.ai.models.openai({ model: 'm', apiKey, baseUrl: `${url}/` })),
      step.sleep('pause', '1s'),
    ]);
    return [openai, anthropic, gemini, fetched.status];
  });
}
